"""Options and what they define: declarations, kinds, rules, sections, recipes; no torch."""
