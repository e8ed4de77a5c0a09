"""What a rule can say and probably does not mean. A lint is never a problem: the rule loads and does what it says."""
