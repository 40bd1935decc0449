"""One LightningDataModule a dataset."""
