#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "worker/backend/cpu/embedding_table.h"
#include "worker/backend/cpu/packed_matrix.h"

namespace tidegate::worker {

/// What load_weights() asks for every large part of a model, once each and in a fixed order. Names are the checkpoint's, with
/// a suffix where one tensor becomes several matrices.
class PackStore {
 public:
  virtual ~PackStore() = default;
  /// `pack` makes the matrix of the checkpoint.
  virtual PackedMatrix matrix(const std::string& name, const std::function<PackedMatrix()>& pack) = 0;
  virtual EmbeddingTable table(const std::string& name, const TensorView& tensor) = 0;
};

/// Packs in memory. An expert's matrices are small and many: they lie together, so that huge pages can be behind them.
class PackInMemory final : public PackStore {
 public:
  PackedMatrix matrix(const std::string&, const std::function<PackedMatrix()>& pack) override { return keep(pack()); }
  EmbeddingTable table(const std::string&, const TensorView& tensor) override { return EmbeddingTable(tensor); }

  /// What the matrices lie in, which is to outlive them. Once.
  std::vector<AlignedBuffer<std::byte>> take_memory() { return std::move(chunks_); }

 private:
  PackedMatrix keep(PackedMatrix matrix);
  std::byte* room_for(std::size_t bytes);
  std::vector<AlignedBuffer<std::byte>> chunks_;
  std::size_t used_ = 0;  ///< of the last chunk
};

}  // namespace tidegate::worker
