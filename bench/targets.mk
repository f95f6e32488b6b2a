.PHONY: bench

bench: install  ## measure speed, cost, and what the fraud rules find; one part: make bench BENCH=cost
	@$(BIN)/python -m bench $(BENCH)
