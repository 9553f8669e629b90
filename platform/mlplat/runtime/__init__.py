"""What a project is made with: the mechanisms, upgraded with mlplat and never merged into a project."""

import os

# Read by the OpenMP runtime when scikit-learn loads it. Threads that spin while they wait make training on a computer
# that has anything else to do eight times slower (36 s instead of 4.6 s, two threads on two busy cores).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
