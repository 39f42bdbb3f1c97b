"""The words by which headings are understood. They are compared without case, accents, spaces and signs."""

from __future__ import annotations

EMAIL_HEADINGS = """
    e-mail emails email-id email-address email-addresses email-adress email-adresse email-adressen user-email
    contact-email subscriber-email e-mail-value mail mails
    mail-address mail-adresse mailing-address-email correo correo-e correos correo-electrónico dirección-de-correo
    dirección-de-correo-electrónico courriel courriels adresse-mail adresse-email adresse-électronique
    adresse-courriel adresse-de-courriel adresse-de-messagerie
    e-post e-post-adress e-post-adresse e-posta e-posta-adresi sähköposti sähköpostiosoite
    indirizzo-email indirizzo-mail posta-elettronica endereço-de-email
    endereço-eletrônico e-mail-adres adres-email adresa-email
    adresa-de-email netfang tölvupóstur e-mail-cím email-cím elektronická-pošta e-mailová-adresa e-naslov
    elektroniskā-pasta-adrese el-paštas el-pašto-adresas alamat-email surel địa-chỉ-email thư-điện-tử
    poczta e-pošta почта э-почта эл-почта электронная-почта электронной-почты электронный-адрес email-адрес
    адрес-электронной-почты адрес-эл-почты адрес-почты
    емейл имейл имейл-адрес електронна-пошта електронна-поща ел-поща メール メールアドレス eメール
    電子メール 電子メールアドレス 邮箱 邮件 电子邮件 电子邮箱 邮箱地址 電子郵件 電郵 이메일 이메일주소 전자우편
    ηλεκτρονικό-ταχυδρομείο
    البريد-الإلكتروني דוא״ל אימייל ایمیل پست-الکترونیکی ईमेल ईमेल-पता อีเมล อีเมล์
"""
"""Headings that mean the email address and nothing else."""
AMBIGUOUS_HEADINGS = """
    address addresses adresse adresses adress adres adresa dirección direcciones indirizzo endereço cím
    адрес 地址 to recipient recipients empfänger destinataire destinatario
"""
"""They may also mean a postal address, so they count only if their column holds email addresses."""
PRIMARY_WORDS = """
    primary main first preferred default personal your my the of de du des haupt primär primäre primärer primaire
    principal principale principali primario primaria primair hoofd основной главный 主要
"""
"""Words that make an email heading no less plain."""
SECONDARY_WORDS = """
    second 2nd alternat alternativ alt other additional extra backup old former previous cc bcc copy zweit weiter sekund
    ersatz frueher früher ander kopie secondaire autre deuxieme ancien segund otro otra secondari secondo altra altro
    tweede andere второй вторая дополнит альтернатив другой запасн копия 予備 副 備用 备用
    work business office company job dienst geschäft arbeit büro firma firmen beruf professionnel travail bureau trabajo
    empresa laboral lavoro ufficio azienda werk zakelijk рабоч служебн
    invoice billing rechnung faktura factur fattur buchhaltung accounting
    parent mother father mum mom dad guardian mutter vater eltern erziehung mère père maman papa tuteur madre padre
    genitor moeder ouder мать матери отец отца мама родител emergency notfall partner spouse ehe husband wife
    assistant manager supervisor teacher lehrer trainer betreuer absender sender from reply referrer creator owner
"""
"""How words begin that say that an address is not the one to take first."""
KNOWN_HEADINGS = """
    name names full-name first-name last-name surname given-name family-name firstname lastname vorname nachname
    familienname anrede titel title salutation nom prénom prenom nombre apellido apellidos cognome nome voornaam
    achternaam имя фамилия отчество 名前 氏名 姓名 姓 名 이름 όνομα επώνυμο الاسم city town ort stadt ville ciudad città
    plz zip postcode street strasse straße rue phone telephone telefon tel téléphone teléfono mobile handy company
    firma société empresa organisation organization class klasse kind child school schule group gruppe country land
    id nr no number nummer date datum birthday geburtsdatum note notes bemerkung comment kommentar status kunde customer
    member mitglied mitgliedsnummer
"""
"""Headings of other columns. They tell a header whose address column has no heading from a row without an address."""
CONTACT_WORDS = """
    contact contacts contact-person contact-us question questions questions-to info information by author editor
    kontakt ansprechpartner ansprechpartnerin ansprechperson frage fragen fragen-an rückfragen rückfragen-an auskunft
    erstellt-von leitung herausgeber absender sender from exported-by created-by prepared-by
    contatto contacto contatti renseignements auteur référent domande preguntas contactpersoon vragen
"""
"""What is beside the address of somebody who answers questions about a list, in a line above it."""
RESERVED_WORDS = """
    true false none not and or in is if elif else endif for endfor loop self set block rows
"""
"""Words that the template language reads as its own, so that no merge field of this name could be shown.

``rows`` are all rows of a mail that several rows share.
"""
