"""A topology as a picture: text, SVG, Mermaid, and the page that shows all of them. Pure: nothing is read, nothing is started."""
