"""Another computer over ssh: look at it, copy to it, run there, bring back what it wrote. Nothing heavy, no toolkit."""
