"""The feature server: looks features up, and takes them, for the projects of a platform; runs in Feast's image.

It is Feast's own application, once for each project, on a PostgreSQL that it can lose and find again. Nothing else of
mlplat imports this, and it imports nothing of mlplat: the image holds Feast and these files.
"""
