#pragma once

#include <string>
#include <string_view>

#include "base/core/ids.h"
#include "gateway/core/api_error.h"
#include "gateway/http/routes.h"

namespace tidegate::gateway {

/// What a dialect says and hears outside of its answers.
struct DialectShape {
  std::string_view request_id_header;  ///< sent beside x-request-id; "" = none
  std::string_view key_header;         ///< may hold the API key in place of Authorization; "" = none
  /// The body of an error.
  std::string (*error_body)(const ApiError& error, const RequestId& request);
  /// Statuses and codes that this dialect's clients know by another one; null: none.
  void (*adapt)(ApiError& error) = nullptr;

  /// As a response says it.
  ApiError wire_error(const Refusal& refusal) const {
    ApiError error = to_api_error(refusal);
    if (adapt != nullptr) adapt(error);
    return error;
  }
};

/// A constant: calls keep references to it.
const DialectShape& shape_of(Dialect dialect);

}  // namespace tidegate::gateway
