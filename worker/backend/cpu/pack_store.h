#pragma once

#include <functional>
#include <string>

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

/// Packs, in memory of its own.
class PackInMemory final : public PackStore {
 public:
  PackedMatrix matrix(const std::string&, const std::function<PackedMatrix()>& pack) override { return pack(); }
  EmbeddingTable table(const std::string&, const TensorView& tensor) override { return EmbeddingTable(tensor); }
};

}  // namespace tidegate::worker
