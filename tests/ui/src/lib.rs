//! Nothing: the mistakes are in `cases`, and what is tested of them in `tests`.
