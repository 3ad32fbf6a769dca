"""Weighing the models of an ensemble: `weights` computes, `ensemble` applies the results to a manifest."""
