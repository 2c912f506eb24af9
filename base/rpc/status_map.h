#pragma once

#include <grpcpp/support/status.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/core/result.h"

namespace grpc {
class ClientContext;
class ServerContextBase;
}  // namespace grpc

/// Error <-> grpc::Status. The code is a cast, the message travels as gRPC's own, and the two parts a program looks at
/// travel as trailing metadata.
namespace tidegate::rpc {

/// Fields beside a call: names in lower case.
using Metadata = std::vector<std::pair<std::string, std::string>>;
/// A text that may travel as metadata: 256 bytes of printable ASCII at most.
std::string metadata_text(std::string_view text);

inline constexpr const char* kReasonKey = "tidegate-reason";
inline constexpr const char* kFieldKey = "tidegate-field";

/// For Finish(): adds the trailing metadata to `context` and returns the status. OK for a value.
/// Reason and field are cut to 256 bytes of printable ASCII, the message to 2 KiB, so that an error always fits.
grpc::Status to_grpc(grpc::ServerContextBase& context, const Error& error);
grpc::Status to_grpc(grpc::ServerContextBase& context, const Status& status);

/// Of a finished call. A status without our metadata gets the reason "rpc_<code name>", e.g. "rpc_unavailable".
Error from_grpc(const grpc::Status& status, const grpc::ClientContext& context);
Error from_grpc(const grpc::Status& status);

}  // namespace tidegate::rpc
