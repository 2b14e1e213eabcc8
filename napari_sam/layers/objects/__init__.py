"""Objects of a label store on the canvas: their selection and their colours."""
