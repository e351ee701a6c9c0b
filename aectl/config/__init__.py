"""Options and what they define: declarations, kinds of model, sparsity rules, recipes; no torch."""
