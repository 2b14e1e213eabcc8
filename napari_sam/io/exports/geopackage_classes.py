"""Classes in a GeoPackage: columns of the objects, and the standard's table of metadata."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from napari_sam.io.class_styles import ClassStyle

CLASS_COLUMNS = ("category_parent", "category_colour")
CLASSES_URI = "https://github.com/napari-sam-xl/classes"
"""Name of the kind of metadata, as the standard wants it."""
_EXTENSION = "http://www.geopackage.org/spec120/#extension_metadata"
_SCHEMA = (
    "CREATE TABLE gpkg_extensions (table_name TEXT, column_name TEXT, extension_name TEXT NOT NULL, "
    "definition TEXT NOT NULL, scope TEXT NOT NULL, "
    "CONSTRAINT ge_tce UNIQUE (table_name, column_name, extension_name))",
    "CREATE TABLE gpkg_metadata (id INTEGER CONSTRAINT m_pk PRIMARY KEY ASC NOT NULL, "
    "md_scope TEXT NOT NULL DEFAULT 'dataset', md_standard_uri TEXT NOT NULL, "
    "mime_type TEXT NOT NULL DEFAULT 'text/xml', metadata TEXT NOT NULL DEFAULT '')",
    "CREATE TABLE gpkg_metadata_reference (reference_scope TEXT NOT NULL, table_name TEXT, column_name TEXT, "
    "row_id_value INTEGER, timestamp DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')), "
    "md_file_id INTEGER NOT NULL, md_parent_id INTEGER, "
    "CONSTRAINT crmr_mfi_fk FOREIGN KEY (md_file_id) REFERENCES gpkg_metadata(id), "
    "CONSTRAINT crmr_mpi_fk FOREIGN KEY (md_parent_id) REFERENCES gpkg_metadata(id))",
)


def class_values(classes: Mapping[str, ClassStyle], category: str | None) -> tuple[str | None, str | None]:
    """Return the values of `CLASS_COLUMNS` for an object: the class above its own, and the colour for map styles."""
    style = None if category is None else classes.get(category)
    return (None, None) if style is None else (style.parent, style.colour)


def add_class_metadata(db: sqlite3.Connection, table: str, classes: Mapping[str, ClassStyle]) -> None:
    """Add the classes as metadata of a table, which programs do not list as a layer (OGC 12-128r18, F.8).

    Parameters
    ----------
    db : sqlite3.Connection
        The file.
    table : str
        Table of the objects.
    classes : mapping of str to ClassStyle
        Classes by name.
    """
    for statement in _SCHEMA:
        db.execute(statement)
    for name in ("gpkg_metadata", "gpkg_metadata_reference"):
        db.execute("INSERT INTO gpkg_extensions VALUES (?, NULL, 'gpkg_metadata', ?, 'read-write')", (name, _EXTENSION))
    content = json.dumps([style.as_json() for style in classes.values()])
    db.execute("INSERT INTO gpkg_metadata VALUES (1, 'dataset', ?, 'application/json', ?)", (CLASSES_URI, content))
    db.execute(
        "INSERT INTO gpkg_metadata_reference (reference_scope, table_name, md_file_id) VALUES ('table', ?, 1)", (table,)
    )


def read_class_metadata(db: sqlite3.Connection) -> object:
    """Return the classes of a file as JSON, or None if it has none."""
    if db.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'gpkg_metadata'").fetchone() is None:
        return None
    row = db.execute("SELECT metadata FROM gpkg_metadata WHERE md_standard_uri = ? LIMIT 1", (CLASSES_URI,)).fetchone()
    try:
        content: object = None if row is None else json.loads(str(row[0]))
    except ValueError:
        content = None
    return content
