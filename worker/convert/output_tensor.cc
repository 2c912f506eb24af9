#include "worker/convert/output_tensor.h"

#include <algorithm>
#include <utility>

#include "base/core/check.h"
#include "worker/format/encode.h"

namespace tidegate::worker {

ReadRows rows_of(const TensorView& tensor, const TensorView* scale) {
  const std::int64_t columns = tensor.shape.back();
  const DtypeBlock block = dtype_block(tensor.dtype);
  const auto row_bytes = static_cast<std::size_t>(columns / block.elements * block.bytes);
  const std::int64_t tiles = (columns + kFp8Tile - 1) / kFp8Tile;
  TG_CHECK((tensor.dtype == Dtype::kF8E4m3) == (scale != nullptr));
  std::vector<float> scales;
  if (scale != nullptr) scales = to_floats(*scale);
  return [dtype = tensor.dtype, bytes = tensor.bytes, scales = std::move(scales), columns, row_bytes, tiles](
             std::int64_t first, std::int64_t rows, float* out) {
    const TensorView part{dtype,
                          {rows, columns},
                          bytes.subspan(static_cast<std::size_t>(first) * row_bytes, static_cast<std::size_t>(rows) * row_bytes)};
    const std::vector<float> values = to_floats(part);
    std::copy(values.begin(), values.end(), out);
    if (scales.empty()) return;
    for (std::int64_t r = 0; r < rows; ++r) {
      const float* of_row = scales.data() + (first + r) / kFp8Tile * tiles;
      for (std::int64_t c = 0; c < columns; ++c) out[r * columns + c] *= of_row[c / kFp8Tile];
    }
  };
}

ReadRows stacked(std::vector<ReadRows> parts, std::int64_t rows_each, std::int64_t columns) {
  return [parts = std::move(parts), rows_each, columns](std::int64_t first, std::int64_t rows, float* out) {
    while (rows > 0) {
      const std::int64_t within = first % rows_each;
      const std::int64_t count = std::min(rows, rows_each - within);
      parts[static_cast<std::size_t>(first / rows_each)](within, count, out);
      out += count * columns;
      first += count;
      rows -= count;
    }
  };
}

ReadRows reordered_pairs(ReadRows from, std::int64_t head_rows, std::int64_t columns, PairOrder order) {
  TG_CHECK(head_rows % 2 == 0);
  return [from = std::move(from), head_rows, columns, order](std::int64_t first, std::int64_t rows, float* out) {
    const std::int64_t half = head_rows / 2;
    for (std::int64_t r = first; r < first + rows; ++r, out += columns) {
      const std::int64_t within = r % head_rows;
      const std::int64_t source =
          order == PairOrder::kToNeighbours ? within % 2 * half + within / 2 : within % half * 2 + within / half;
      from(r - within + source, 1, out);
    }
  };
}

ReadRows key_half(ReadRows kv_b, KvBShape shape) {
  return [kv_b = std::move(kv_b), shape](std::int64_t first, std::int64_t rows, float* out) {
    // A head at a time: its rows are the columns of what is written.
    std::vector<float> head(static_cast<std::size_t>(shape.nope * shape.latent));
    for (std::int64_t done = 0; done < rows;) {
      const std::int64_t index = (first + done) / shape.latent;
      const std::int64_t begin = (first + done) % shape.latent;
      const std::int64_t count = std::min(rows - done, shape.latent - begin);
      kv_b(index * (shape.nope + shape.value), shape.nope, head.data());
      for (std::int64_t i = 0; i < count; ++i) {
        for (std::int64_t n = 0; n < shape.nope; ++n) {
          out[(done + i) * shape.nope + n] = head[static_cast<std::size_t>(n * shape.latent + begin + i)];
        }
      }
      done += count;
    }
  };
}

ReadRows value_half(ReadRows kv_b, KvBShape shape) {
  return [kv_b = std::move(kv_b), shape](std::int64_t first, std::int64_t rows, float* out) {
    for (std::int64_t r = first; r < first + rows; ++r, out += shape.latent) {
      kv_b(r / shape.value * (shape.nope + shape.value) + shape.nope + r % shape.value, 1, out);
    }
  };
}

}  // namespace tidegate::worker
