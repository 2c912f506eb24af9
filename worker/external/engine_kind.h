#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace tidegate::worker::external {

/// Which server answers: they all speak OpenAI's API, and differ in what they take beyond it.
enum class EngineKind : std::uint8_t { kOpenAi, kVllm, kSglang, kTensorrt, kLlamaCpp };

constexpr std::string_view engine_kind_name(EngineKind kind) {
  switch (kind) {
    case EngineKind::kOpenAi: return "openai";
    case EngineKind::kVllm: return "vllm";
    case EngineKind::kSglang: return "sglang";
    case EngineKind::kTensorrt: return "tensorrt";
    case EngineKind::kLlamaCpp: return "llamacpp";
  }
  return "";
}

constexpr std::optional<EngineKind> find_engine_kind(std::string_view name) {
  for (const EngineKind kind : {EngineKind::kOpenAi, EngineKind::kVllm, EngineKind::kSglang, EngineKind::kTensorrt,
                                EngineKind::kLlamaCpp}) {
    if (engine_kind_name(kind) == name) return kind;
  }
  return std::nullopt;
}

}  // namespace tidegate::worker::external
