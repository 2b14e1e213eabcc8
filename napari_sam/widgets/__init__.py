"""The docks in napari: Qt widgets and their controllers, without numerics."""
