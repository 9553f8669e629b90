"""The platform of this repository: `pulumi up -s local`, or `mlplat up`."""

from mlplat.program import run

run()
