"""CDK constructs: the backbone's stack, the services' stacks, and the listeners (rule, queue, function) in them."""
