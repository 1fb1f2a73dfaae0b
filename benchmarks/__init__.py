"""What a stream costs, here and elsewhere: ``pip install -r benchmarks/requirements.txt``, ``python -m benchmarks``."""
