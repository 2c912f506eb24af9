#include "base/rpc/status_map.h"

#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>

#include <string>
#include <string_view>

namespace tidegate::rpc {

namespace {

constexpr std::size_t kMetadataBytesMax = 256;
constexpr std::size_t kMessageBytesMax = 2048;

/// Cut between characters: proxies drop messages that are not UTF-8.
std::string bounded_message(const std::string& text) {
  if (text.size() <= kMessageBytesMax) return text;
  std::size_t end = kMessageBytesMax;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

Code code_from_grpc(grpc::StatusCode code) {
  const int number = static_cast<int>(code);
  return number >= 0 && number <= static_cast<int>(Code::kUnauthenticated) ? static_cast<Code>(number) : Code::kUnknown;
}

std::string metadata(const grpc::ClientContext& context, const char* key) {
  const auto& all = context.GetServerTrailingMetadata();
  const auto found = all.find(key);
  return found == all.end() ? std::string() : std::string(found->second.data(), found->second.size());
}

}  // namespace

/// gRPC aborts the process on a byte that HTTP/2 forbids in a header, and a field may quote what a user sent.
std::string metadata_text(std::string_view text) {
  std::string out(text.substr(0, kMetadataBytesMax));
  for (char& c : out) {
    if (c < 0x20 || c > 0x7e) c = '?';
  }
  return out;
}

grpc::Status to_grpc(grpc::ServerContextBase& context, const Error& error) {
  if (!error.reason.empty()) context.AddTrailingMetadata(kReasonKey, metadata_text(error.reason));
  if (!error.field.empty()) context.AddTrailingMetadata(kFieldKey, metadata_text(error.field));
  const Code code = error.code == Code::kOk ? Code::kUnknown : error.code;
  return {static_cast<grpc::StatusCode>(code), bounded_message(error.message)};
}

grpc::Status to_grpc(grpc::ServerContextBase& context, const Status& status) {
  return status ? grpc::Status::OK : to_grpc(context, status.error());
}

Error from_grpc(const grpc::Status& status) {
  const Code code = code_from_grpc(status.error_code());
  return {code, "rpc_" + std::string(code_name(code)), status.error_message()};
}

Error from_grpc(const grpc::Status& status, const grpc::ClientContext& context) {
  Error error = from_grpc(status);
  if (auto reason = metadata(context, kReasonKey); !reason.empty()) error.reason = std::move(reason);
  error.field = metadata(context, kFieldKey);
  return error;
}

}  // namespace tidegate::rpc
