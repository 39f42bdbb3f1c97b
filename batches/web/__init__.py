"""The pages that people see: forms and views. They translate, call the domain once, and keep no rules of their own."""
