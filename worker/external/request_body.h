#pragma once

#include <cstdint>
#include <string>

#include "base/core/result.h"
#include "worker/engine/engine.h"
#include "worker/external/engine_kind.h"

namespace tidegate::worker::external {

/// How requests to one engine are written.
struct BodyStyle {
  EngineKind kind = EngineKind::kOpenAi;
  std::string model;              ///< the engine's own name for it
  bool continuous_usage = false;  ///< ask for running totals with every chunk
};

/// What can be asked of any engine behind this adapter, and of this kind. A parameter that it would silently drop is refused.
/// Fails: invalid_argument/unsupported_parameter, out_of_range, missing_field; field names the parameter.
Status check_request(const GenerateRequest& request, EngineKind kind);

/// The JSON of a streaming /chat/completions, or of /completions for a raw prompt, always with its usage asked for. Of a
/// request that check_request() passed. `max_tokens` is above 0.
/// Fails: invalid_argument/bad_schema for a schema that is no JSON.
Result<std::string> request_body(const GenerateRequest& request, const BodyStyle& style, std::int32_t max_tokens);

}  // namespace tidegate::worker::external
