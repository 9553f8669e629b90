"""What another version of a part does to a platform that stands, and which versions cannot follow each other.

`parts` reads versions from resources, `ways` is the table, `judgement` compares. All of it is values: who remembers
what a stack had, and who shows or refuses, is the engine's and the program's affair.
"""

from mlplat.upgrades.judgement import Consequence, consequences, refuse
from mlplat.upgrades.parts import KUBERNETES, MLPLAT, OUTPUT, installed, remembered

__all__ = [
    "KUBERNETES",
    "MLPLAT",
    "OUTPUT",
    "Consequence",
    "consequences",
    "installed",
    "refuse",
    "remembered",
]
