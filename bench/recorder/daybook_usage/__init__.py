"""What a function's process uses of AWS, noted from inside it. Only `bench` puts this on a path."""
