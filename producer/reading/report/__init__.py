"""A lecture as one HTML file for people: `writing` makes it, of pictures (`figures`), words (`page`) and a template."""
