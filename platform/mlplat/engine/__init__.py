"""Pulumi, driven by mlplat: stacks whose stack file has an `engine`.

The same project, stack and backend as plain `pulumi` in the same repository, by Pulumi's Automation API. What is here
knows nothing of targets: the program (`mlplat.program`) does.
"""
