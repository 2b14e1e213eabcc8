# The command line and the Python package, without a window, on the CPU:
#   docker build -t napari-sam-xl .
#   docker run --rm -v "$PWD:/data" napari-sam-xl everything slide.tif cells.ome.zarr --measure cells.csv
# For an NVIDIA GPU: docker build --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu128 -t napari-sam-xl:gpu .
#   and docker run --gpus all …
FROM python:3.12-slim

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /src
COPY pyproject.toml hatch_build.py README.md LICENSE constraints.txt ./
COPY napari_sam napari_sam
COPY src_models src_models
RUN pip install --no-cache-dir --index-url "$TORCH_INDEX" "torch>=2.10" \
    && pip install --no-cache-dir '.[text,tracks]' \
    && rm -rf /src

# An ordinary user; weights that are downloaded stay in the volume /cache.
RUN useradd --create-home user && mkdir /cache /data && chown user /cache /data
USER user
ENV NAPARI_SAM_CACHE=/cache
VOLUME /cache
WORKDIR /data
ENTRYPOINT ["napari-sam"]
CMD ["--help"]
