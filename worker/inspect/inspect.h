#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/core/result.h"
#include "base/json/json.h"

/// What a model on the disk is, counted from its own files.
namespace tidegate::worker {

struct InspectOptions {
  std::int64_t context = 0;    ///< tokens of each sequence; 0: all that the model can
  std::int64_t sequences = 1;  ///< at once
  std::int64_t memory_bytes = 0;  ///< to fit into; 0: this machine's
  bool digest = true;             ///< reads every byte
  int threads = 0;                ///< that compute; 0: as many as this machine has cores
  std::int64_t step_tokens = 256;  ///< of an engine step; what a worker has unless told otherwise
};

/// Tensors of one type.
struct TypeShare {
  std::string dtype;
  std::int64_t tensors = 0;
  std::int64_t elements = 0;
  std::int64_t bytes = 0;
};

/// Memory of the CPU engine: weights as they are packed, keys and values in F32, and what attention works in.
struct MemoryNeed {
  std::int64_t weight_bytes = 0;
  std::int64_t kv_bytes_per_token = 0;
  std::int64_t context = 0;
  std::int64_t sequences = 0;
  std::int64_t kv_bytes = 0;
  std::int64_t attention_bytes = 0;  ///< the most that it takes, whatever the context
  std::int64_t available_bytes = 0;  ///< 0: not known
  [[nodiscard]] std::int64_t total_bytes() const { return weight_bytes + attention_bytes + kv_bytes; }
  [[nodiscard]] bool fits() const { return total_bytes() <= available_bytes; }
  /// Sequences of `context` tokens that have room beside the weights.
  [[nodiscard]] std::int64_t sequences_max() const;
};

/// A part that may be absent without making the rest wrong: what it is, or why there is none.
struct Described {
  std::string what;
  std::string problem;  ///< empty: none
};

struct Inspection {
  std::string path;
  std::string format;  ///< "safetensors" or "gguf"
  std::string architecture;
  std::string weights_digest;    ///< "" unless asked for
  std::string manifest_digest;   ///< as manifest.json says; "" without one
  std::int64_t parameters = 0;   ///< all of them, draft layers included
  std::int64_t active_parameters = 0;  ///< that a token passes, embedding table and head included, draft layers not
  std::int64_t draft_parameters = 0;
  std::int64_t weight_bytes = 0;  ///< as stored, scales included
  std::vector<TypeShare> types;   ///< most bytes first
  std::int32_t layers = 0;
  std::int32_t experts = 0;
  std::int32_t experts_per_token = 0;
  std::int32_t draft_layers = 0;
  std::int32_t vocab = 0;
  std::int32_t context_max = 0;
  MemoryNeed memory;
  Described tokenizer;
  Described chat;
  std::vector<std::string> can;     ///< "chat", "tools", ...: what the engine does with it
  std::vector<std::string> cannot;  ///< with the reason
};

/// Fails: as open_model_files and plan_weights do: a model that the engine cannot load has no description. What is wrong with
/// its tokenizer or template is part of the description.
Result<Inspection> inspect_model(const std::filesystem::path& path, const InspectOptions& options);

json::object to_json(const Inspection& inspection);

}  // namespace tidegate::worker
