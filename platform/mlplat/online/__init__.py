"""The feature server: takes what projects tell of features, and their values, and looks them up for model servers.

It is Feast's own application, once for each project: on a cluster on a PostgreSQL that it can lose and find again, on
one computer on files. It runs in Feast's environment. Nothing else of mlplat imports this, and it imports nothing of
mlplat: the image holds Feast and these files.
"""
