"""How fast the study is: each task beside the same task done in the usual way.

`python -m pneumo_keras bench` runs it. Nothing here is a test, and no test asserts a speed.
"""
