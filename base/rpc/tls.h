#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/clock.h"
#include "base/core/result.h"
#include "base/core/rpc_tls_options.h"

namespace grpc {
class ChannelCredentials;
class ServerContextBase;
class ServerCredentials;
}  // namespace grpc

/// TLS between the processes of an installation. One authority signs a certificate for each role; its URI names the
/// role ("tidegate://gateway"), and that, not a host name, is what the other side checks: processes move.
///
/// Certificates are read again every ten seconds and used for new connections; open ones keep what they have.
namespace tidegate::rpc {

inline constexpr std::string_view kGatewayRole = "gateway";
inline constexpr std::string_view kBillingRole = "billing";
inline constexpr std::string_view kSchedulerRole = "scheduler";
inline constexpr std::string_view kWorkerRole = "worker";
inline constexpr std::string_view kCliRole = "cli";

/// "tidegate://<role>"
std::string role_uri(std::string_view role);

/// Before anything connects or listens: nothing to say without the options; with them all three, readable, in force, a
/// pair, and the certificate is this `role`'s. Fails: invalid_argument/bad_certificate naming option, file and fix.
Status check_rpc_tls(const RpcTlsOptions& options, std::string_view role, Wall now);

/// For connecting to a `peer_role`. Plain when the options are off or `address` is a unix socket.
std::shared_ptr<grpc::ChannelCredentials> channel_credentials(const std::string& address, const RpcTlsOptions& options,
                                                              std::string_view peer_role);

/// For connecting to a public address as anybody does: the server's certificate and its host name are verified against
/// the authorities in `ca_file`. Plain when it is empty or `address` is a unix socket.
std::shared_ptr<grpc::ChannelCredentials> public_channel_credentials(const std::string& address,
                                                                     const std::string& ca_file);

/// For listening inside: clients must show a certificate of the authority. Plain as above.
std::shared_ptr<grpc::ServerCredentials> server_credentials(const std::string& address, const RpcTlsOptions& options);

/// For listening in public: clients show nothing. Plain when the files are empty, or for a unix socket.
std::shared_ptr<grpc::ServerCredentials> public_server_credentials(const std::string& address,
                                                                   const std::string& cert_file,
                                                                   const std::string& key_file);

/// The caller's certificate names one of `roles`. A call without TLS has no role and passes: a server with TLS inside
/// lets in nobody without a certificate, but for its unix sockets. Fails: permission_denied/wrong_role.
Status check_caller_role(const grpc::ServerContextBase& context, const std::vector<std::string>& roles);

}  // namespace tidegate::rpc
