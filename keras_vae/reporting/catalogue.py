"""The names of all plots, with a line about each. Imports nothing."""

PLOTS = {
    "overview": "originals, reconstructions, the way from the first to the second",
    "grids": "3x3 training and test examples, reconstructed, and samples",
    "pairs": "rows of input and reconstruction",
    "interpolation": "81 steps between two examples, also as a GIF",
    "all_pairs": "every class walks to every other, as a GIF",
    "expected_reconstruction": "the mean over draws of z, and that from the mean",
    "completions": "images with one region given: the region, completions, the image",
    "denoising": "examples, the same with the noise of the training, and without it",
    "movement": "the arm of the dataset motion draws examples, as a GIF",
    "scatter": "latents by class, also with digits as markers",
    "tsne": "t-SNE of the latents, in the plane and in space (slow)",
    "arrow": "an arrow between two classes, and the decoded points along it",
    "manifold": "the decoder over [-2, 2] x [-2, 2] and over quantiles",
    "walks": "GIFs along the two axes and the two diagonals",
    "traversals": "one latent dimension at a time, ordered by KL",
    "kl_per_dimension": "the KL of each latent dimension",
    "kl_per_group": "the KL of each group of latents of a hierarchy",
    "levels": "what each group of a hierarchy adds to a reconstruction",
    "temperatures": "samples of a hierarchy at several temperatures",
    "curves": "loss, reconstruction and KL over the epochs",
    "model_graph": "the layers of the model",
    "swiss_roll": "the swiss roll rolled and unrolled",
    "swiss_roll_turning": "the same with the roll turning, as a GIF",
    "forward_reverse_kl": "one Gaussian on two humps, by either KL",
}
"""What `keras-vae visualize` can draw, in the order in which it does."""
