.PHONY: chaos fuzz soak

chaos: install  ## run the whole system under faults; nothing may be lost or done twice (SEED=1; writes docs/chaos.md)
	@$(BIN)/python -m chaos chaos $(if $(SEED),--seed $(SEED))

fuzz: install  ## send ten thousand invalid and unusual events; each must be handled, or dead with a reason (SEED=1)
	@$(BIN)/python -m chaos fuzz $(if $(SEED),--seed $(SEED))

soak: install  ## run an hour of mixed traffic; resource use may not grow (MINUTES=60)
	@$(BIN)/python -m chaos soak $(if $(MINUTES),--minutes $(MINUTES))
