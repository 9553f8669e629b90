from mlplat.program import run

run()
