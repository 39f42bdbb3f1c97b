"""Write what became of a batch, and its rejected rows, as files: CSV for programs and people, and .xlsx for people.

``cells`` reads pages of cells, ``csv_file`` and ``xlsx_file`` write them, ``export`` chooses among them, and
``child_process`` lets a child process do it for a large batch. No transaction is kept between pages.

Nothing is imported here: ``child_program`` is of this package and starts before Django does.
"""
