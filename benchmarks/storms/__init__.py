"""The measures of the suite ``storms``: many streams that are opened, held and closed."""
