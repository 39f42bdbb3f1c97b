"""Cases of the first line, the address column, the lines above the header, blank columns and quotes."""

from __future__ import annotations

from tests.acceptance.lists.cases import AB, ABC, ANN, BO, addresses
from tests.acceptance.lists.cases import make_case as case
from tests.acceptance.lists.files import Sheet, make_ods, make_ods_row, make_ods_table, make_xlsx

BLANK_CELLS = "," * 600
PEOPLE = [["email", "name"], ["ann@example.org", "Ann"], ["bo@example.org", "Bo"]]

FIRST_LINE = [
    case("typo", "ann@gmail\nbo@example.org\ncy@example.org\n", addresses("bo", "cy"), rejected=1, filename="list.txt"),
    case(
        "two-addresses",
        "ann@example.org;anna@example.org\nbo@example.org\ncy@example.org\n",
        addresses("bo", "cy"),
        rejected=1,
        also=frozenset(addresses("ann", "anna")),
        filename="list.txt",
    ),
    case("typo-and-name", "ann@example,Ann\nbo@example.org,Bo\ncy@example.org,Cy\n", addresses("bo", "cy"), rejected=1),
    case("full-stop", "ann@example.org.\nbo@example.org\ncy@example.org\n", addresses("ann", "bo", "cy")),
    case("mailto", "mailto:ann@example.org\nbo@example.org\n", addresses("ann", "bo")),
    case("two-signs", "ann@@example.org\nbo@example.org\ncy@example.org\n", addresses("bo", "cy"), rejected=1),
    case("comma-for-dot", "ann@example,org;Ann\nbo@example.org;Bo\n", addresses("bo"), rejected=1),
    case("name-first", "Ann;ann@gmail\nBo;bo@example.org\nCy;cy@example.org\n", addresses("bo", "cy"), rejected=1),
    case("display-name", "Ann <ann@example>\nBo <bo@example.org>\n", addresses("bo"), rejected=1, filename="list.txt"),
    case("two-bad-lines", "ann@gmail\nbo@gmail\ncy@example.org\n", addresses("cy"), rejected=2),
    case("blank-inside", "ann berg@example.org\nbo@example.org\n", addresses("bo"), rejected=1),
    case(
        "sheet",
        make_xlsx(Sheet(rows=[["ann@gmail", "Ann"], ["bo@example.org", "Bo"], ["cy@example.org", "Cy"]])),
        addresses("bo", "cy"),
        rejected=1,
        filename="list.xlsx",
    ),
    case("nothing-but-a-typo", "ann@gmail\n", None, says=("(?i)ann@gmail|line 1|@",), filename="list.txt"),
]

ADDRESS_COLUMN = [
    case(
        "alternative-is-fuller",
        "name,E-Mail,E-Mail (alt)\n"
        "Ann,ann@example.org,a@example.net\nBo,bo@example.org,b@example.net\nCy,,c@example.net\n",
        AB,
        rejected=1,
        found={"addressColumns": 2},
    ),
    case(
        "invoice-is-fuller",
        "name,E-Mail,E-Mail (Rechnung)\n"
        "Ann,ann@example.org,office@example.net\nBo,bo@example.org,office@example.net\nCy,cy@example,office@example.net\n",
        AB,
        rejected=1,
    ),
    case(
        "thunderbird-german",
        "Anzeigename,Primäre E-Mail-Adresse,Sekundäre E-Mail-Adresse\n"
        "Ann,ann@example.org,a@example.net\nCy,,c@example.net\n",
        {"ann@example.org": {"anzeigename": "Ann"}},
        rejected=1,
    ),
    case(
        "thunderbird-russian",
        "Имя,Адрес электронной почты,Альтернативный адрес электронной почты\n"
        "Анна,ann@example.org,a@example.net\nБорис,bo@example.org,b@example.net\nЦой,,c@example.net\n",  # noqa: RUF001
        {"ann@example.org": {"имя": "Анна"}, "bo@example.org": {"имя": "Борис"}},
        rejected=1,
    ),
    case("contact-in-heading", "name,E-Mail <office@example.com>\nAnn,ann@example.org\nBo,bo@example.org\n", AB),
    case(
        "numbers",
        "name,Email 1,Email 2\nAnn,ann@example.org,a@example.net\nBo,bo@example.org,b@example.net\nCy,,c@example.net\n",
        AB,
        rejected=1,
    ),
    case(
        "google",
        "name,E-mail 1 - Type,E-mail 1 - Value,E-mail 2 - Type,E-mail 2 - Value\n"
        "Ann,* Home,ann@example.org,Work,a@example.net\nBo,* Home,bo@example.org,Work,b@example.net\n",
        AB,
    ),
    case(
        "outlook",
        "name,E-mail Address,E-mail Type,E-mail 2 Address,E-mail 3 Address\n"
        "Ann,ann@example.org,SMTP,a@example.net,\nBo,bo@example.org,SMTP,b@example.net,c@example.net\nCy,,,c2@example.net,\n",
        AB,
        rejected=1,
    ),
    case(
        "plain-after-work",
        "name,Work Email,Email\nAnn,ann@work.example.net,ann@example.org\nBo,bo@work.example.net,bo@example.org\n",
        AB,
    ),
    case(
        "plain-after-old",
        "name,E-Mail (alt),E-Mail\nAnn,a@example.net,ann@example.org\nBo,b@example.net,bo@example.org\n",
        AB,
    ),
    case(
        "parents",
        "name,E-Mail Mutter,E-Mail Vater\n"
        "Ann,ann@example.org,a@example.net\nBo,bo@example.org,b@example.net\nCy,,c@example.net\n",
        AB,
        rejected=1,
        found={"addressColumns": 2},
    ),
    case(
        "parents-in-a-sheet",
        make_xlsx(
            Sheet(
                rows=[
                    ["name", "E-Mail Mutter", "E-Mail Vater"],
                    ["Ann", "ann@example.org", "a@example.net"],
                    ["Cy", None, "c@example.net"],
                ]
            )
        ),
        ANN,
        rejected=1,
        found={"addressColumns": 2},
        filename="list.xlsx",
    ),
    case(
        "postal-under-mail",
        "name,mail,contact\nAnn,1 High St,ann@example.org\nBo,2 Low St,bo@example.org\n",
        AB,
    ),
    case("empty-under-email", "email,name,contact\n,Ann,ann@example.org\n,Bo,bo@example.org\n", AB),
    case(
        "opt-in-before",
        "Email opt-in,name,Email\nyes,Ann,ann@example.org\nno,Bo,bo@example.org\n",
        AB,
    ),
    case(
        "postal-and-email",
        "name,address,email\nAnn,1 High St,ann@example.org\nBo,2 Low St,bo@example.org\n",
        AB,
    ),
    case(
        "spanish",
        "name;Correo electrónico;Correo alternativo\n"
        "Ann;ann@example.org;a@example.net\nBo;bo@example.org;b@example.net\n",
        AB,
    ),
]

ADDRESS_COLUMN += [
    case(
        "private-and-work",
        "name;E-Mail privat;E-Mail dienstlich\nAnn;ann@example.org;a@example.net\nCy;;c@example.net\n",
        ANN,
        rejected=1,
        found={"addressColumns": 2},
    ),
    case(
        "billing-first",
        "name,Billing Email,Email\nAnn,a@example.net,ann@example.org\nBo,b@example.net,bo@example.org\n",
        AB,
    ),
    case(
        "japanese",
        "name,メールアドレス,サブメールアドレス\nAnn,ann@example.org,a@example.net\nCy,,c@example.net\n",
        ANN,
        rejected=1,
    ),
    case(
        "polish",
        "name;Adres e-mail;Alternatywny adres e-mail\nAnn;ann@example.org;a@example.net\nCy;;c@example.net\n",
        ANN,
        rejected=1,
    ),
    case("no-address-in-mail", "name,email,contact\nAnn,n/a,ann@example.org\nBo,n/a,bo@example.org\n", AB),
]

ABOVE_THE_HEADER = [
    case(
        "title-and-blank-line",
        "Members 2026,,\n,,\nname,email,city\nAnn,ann@example.org,Rome\nBo,bo@example.org,Oslo\n",
        AB,
    ),
    case("title-alone", "Members list 2026\nemail,name\nann@example.org,Ann\nbo@example.org,Bo\n", AB),
    case(
        "title-and-date",
        "Mitgliederliste 2026;;\nStand: 01.03.2026;;\n;;\n"
        "Name;E-Mail;Ort\nAnn;ann@example.org;Rom\nBo;bo@example.org;Oslo\n",
        AB,
    ),
    case(
        "linkedin",
        'Notes:\n"When you export your connections, some of the addresses may be missing."\n\n'
        "First Name,name,URL,Email Address,Company\n"
        "A,Ann,https://x.example/a,ann@example.org,ACME\nB,Bo,https://x.example/b,bo@example.org,ACME\n",
        AB,
    ),
    case(
        "title-in-a-sheet",
        make_xlsx(Sheet(rows=[["Members list 2026"], [], *PEOPLE])),
        AB,
        filename="list.xlsx",
    ),
    case(
        "title-with-contact",
        "Questions to:,office@example.com,\nname,email,city\nAnn,ann@example.org,Rome\nBo,bo@example.org,Oslo\n",
        AB,
        rejected=1,
    ),
    case("comment", "# exported 2026-03-31 by admin\nemail,name\nann@example.org,Ann\nbo@example.org,Bo\n", AB),
    case(
        "contact-in-a-sentence",
        "Questions? Write to office@example.com\n\nemail;name\nann@example.org;Ann\nbo@example.org;Bo\n",
        AB,
        rejected=1,
    ),
    case(
        "two-row-headings",
        "Person,,Contact,\nname,born,email,phone\nAnn,1990,ann@example.org,1\nBo,1991,bo@example.org,2\n",
        addresses("ann", "bo"),
    ),
    case(
        "datev",
        '"EXTF";700;16;"Debitoren/Kreditoren";5;20260301120000000;;"RE";"admin";""\n'
        "Konto;Name;E-Mail\n10000;Ann;ann@example.org\n10001;Bo;bo@example.org\n",
        AB,
    ),
    case(
        "sap",
        "Report ZLIST   31.03.2026\n"
        "--------------------------------------\n| name | email           | city |\n"
        "--------------------------------------\n| Ann  | ann@example.org | Rome |\n| Bo   | bo@example.org  | Oslo |\n"
        "--------------------------------------\n",
        AB,
        rejected=1,
        says=("(?i)address|cell|column",),
    ),
    case(
        "table-of-numbers",
        "Table 1,,\nname,email,city\nAnn,ann@example.org,Rome\nBo,bo@example.org,Oslo\n",
        AB,
    ),
    case(
        "total-below",
        "Mitgliederliste;;\nName;E-Mail;Ort\nAnn;ann@example.org;Rom\nBo;bo@example.org;Oslo\n;;\nSumme;2;\n",
        AB,
        rejected=1,
    ),
    case(
        "eight-lines",
        "Sportverein\nVorstand\n\nBitte nur intern\nNicht weitergeben\nStand März\nSeite 1\n\nname;email\n"
        "Ann;ann@example.org\nBo;bo@example.org\n",
        AB,
    ),
    case("mark-and-title", "\ufeffMitglieder 2026\nname;email\nAnn;ann@example.org\nBo;bo@example.org\n", AB),
    case(
        "commas-in-the-title",
        '"Members, friends, and sponsors (2026)"\nname,email\nAnn,ann@example.org\nBo,bo@example.org\n',
        AB,
    ),
    case(
        "second-header",
        "name,email\nAnn,ann@example.org\nname,email\nBo,bo@example.org\n",
        AB,
        rejected=1,
    ),
    case(
        "indented-in-a-sheet",
        make_xlsx(
            Sheet(
                rows=[
                    [],
                    [None, "Choir, spring 2026"],
                    [],
                    [None, "name", "email"],
                    [None, "Ann", "ann@example.org"],
                    [None, "Bo", "bo@example.org"],
                ]
            )
        ),
        AB,
        filename="list.xlsx",
    ),
    case(
        "title-in-ods",
        make_ods(
            make_ods_table(make_ods_row("Members list"), make_ods_row(""), *(make_ods_row(*row) for row in PEOPLE))
        ),
        AB,
        filename="list.ods",
    ),
    case(
        "title-without-header",
        "Our club\n\nann@example.org,Ann\nbo@example.org,Bo\n",
        addresses("ann", "bo"),
    ),
]

ABOVE_THE_HEADER += [
    case("sep-and-title", "sep=;\nMitglieder 2026\nname;email\nAnn;ann@example.org\nBo;bo@example.org\n", AB),
    case("page-between", "name,email\nAnn,ann@example.org\nPage 2,\nBo,bo@example.org\n", AB, rejected=1),
    case(
        "heading-of-two-lines", 'name,"E-Mail\n(private)",city\nAnn,ann@example.org,Rome\nBo,bo@example.org,Oslo\n', AB
    ),
    case("fifteen-notes", "Note\n" * 15 + "name,email\nAnn,ann@example.org\nBo,bo@example.org\n", AB),
]

BLANK_COLUMNS = [
    case(
        "commas-after",
        f"email,name{BLANK_CELLS}\nann@example.org,Ann{BLANK_CELLS}\nbo@example.org,Bo{BLANK_CELLS}\n",
        AB,
        found={"mergeFields": ["name"]},
    ),
    case(
        "semicolons-after-the-rows",
        "email;name\n" + "".join(f"{who}@example.org;{who.title()}{';' * 20}\n" for who in ("ann", "bo")),
        AB,
        found={"mergeFields": ["name"]},
    ),
    case("tabs-after", "email\tname\t\t\t\nann@example.org\tAnn\t\t\t\nbo@example.org\tBo\n", AB),
    case(
        "blank-between",
        "email,,,name\nann@example.org,,,Ann\nbo@example.org,,,Bo\n",
        AB,
        found={"mergeFields": ["name"]},
    ),
    case("blank-before", ",,email,name\n,,ann@example.org,Ann\n,,bo@example.org,Bo\n", AB),
    case("blank-lines-after", "email,name\nann@example.org,Ann\nbo@example.org,Bo\n" + ",\n" * 3000, AB),
    case(
        "spaces-between",
        "email, ,name\nann@example.org, ,Ann\nbo@example.org,  ,Bo\n",
        AB,
        found={"mergeFields": ["name"]},
    ),
]

QUOTES = [
    case(
        "space-before",
        'email, name\nann@example.org, "Berg, Ann"\nbo@example.org, "Cole, Bo"\n',
        {"ann@example.org": {"name": "Berg, Ann"}, "bo@example.org": {"name": "Cole, Bo"}},
    ),
    case("whole-line", '"email,name"\n"ann@example.org,Ann"\n"bo@example.org,Bo"\n', AB),
    case(
        "equals",
        'email,name\nann@example.org,="0123"\nbo@example.org,="Bo"\n',
        {"ann@example.org": {"name": "0123"}} | BO,
    ),
    case("space-before-a-name", "email, name\nann@example.org, Ann\nbo@example.org, Bo\n", AB),
    case(
        "space-before-with-semicolons",
        'email; "name"\nann@example.org; "Berg; Ann"\nbo@example.org; "Bo"\n',
        {"ann@example.org": {"name": "Berg; Ann"}} | BO,
    ),
    case("sep-line", '"sep=;"\nemail;name\nann@example.org;Ann\nbo@example.org;Bo\n', AB),
    case("equals-with-semicolons", 'email;name\nann@example.org;="01234"\n', {"ann@example.org": {"name": "01234"}}),
    case(
        "whole-line-doubled",
        '"email,name"\n"ann@example.org,""Berg, Ann"""\n"bo@example.org,Bo"\n',
        {"ann@example.org": {"name": "Berg, Ann"}} | BO,
    ),
    case("whole-line-semicolons", '"email;name"\n"ann@example.org;Ann"\n"bo@example.org;Bo"\n', AB),
    case("spaces-around", "email,name\nann@example.org,  Ann  \nbo@example.org,\u00a0Bo\u00a0\n", AB),
    case(
        "only-a-hard-space",
        "email,name\nann@example.org,\u00a0\nbo@example.org,Bo\n",
        {"ann@example.org": {"name": ""}} | BO,
    ),
    case("space-after", '"email" ,"name"\n"ann@example.org" ,"Ann"\n"bo@example.org" ,"Bo"\n', AB),
    case(
        "backslash",
        'email,name\nann@example.org,"Ann \\"x\\" Berg"\nbo@example.org,Bo\n',
        BO,
        rejected=1,
        also=frozenset(addresses("ann")),
    ),
    case("mysql", "'email','name'\n'ann@example.org','Ann'\n'bo@example.org','Bo'\n", AB),
    case(
        "whole-line-german",
        '"email;""name"""\n"ann@example.org;""Berg; Ann"""\n"bo@example.org;Bo"\n',
        {"ann@example.org": {"name": "Berg; Ann"}} | BO,
    ),
    case("three-people", 'email,"name"\n"ann@example.org","Ann"\nbo@example.org,Bo\n"cy@example.org",Cy\n', ABC),
]
