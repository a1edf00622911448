"""How fast the study is: each piece of work beside the same work done the usual way.

`python -m pneumo_keras bench` runs it. Nothing here is a test, and no test asserts a speed.
"""
