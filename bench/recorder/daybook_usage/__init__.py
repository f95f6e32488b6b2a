"""Records a function's use of AWS within its process. Only `bench` adds this package to the path."""
