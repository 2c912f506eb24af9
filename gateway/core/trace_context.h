#pragma once

#include <string>
#include <string_view>

#include "base/core/ids.h"

namespace tidegate::gateway {

/// Where a request stands in its caller's trace (W3C Trace Context). The gateway joins traces and reports none itself.
struct TraceContext {
  std::string trace_id;     ///< 32 lower-case hexadecimal digits
  std::string traceparent;  ///< of the answer: that trace, with a span of this request's own
};

/// `sent` is the client's traceparent, "" = none. What is no traceparent is none, as the specification has it: the
/// trace is then a new one, named by the request's own id. Whether it is recorded is the caller's word; a new one is not.
TraceContext join_trace(std::string_view sent, const RequestId& request);

}  // namespace tidegate::gateway
