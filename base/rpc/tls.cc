#include "base/rpc/tls.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security_constants.h>
#include <grpcpp/security/auth_context.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <grpcpp/server_context.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <tuple>
#include <utility>

#include "base/crypto/certificate.h"

namespace tidegate::rpc {

namespace {

namespace tls = grpc::experimental;

constexpr unsigned int kLookAgainSeconds = 10;
/// The provider of files answers to any name; the two only have to be told apart.
constexpr const char* kRootName = "root";
constexpr const char* kIdentityName = "identity";
constexpr std::string_view kRoleScheme = "tidegate://";

bool is_unix(const std::string& address) { return address.starts_with("unix:"); }

/// Each provider watches its files on a thread of its own, so channels with the same files share one. Never freed: a
/// provider that goes after gRPC's last call would go after what it stands on.
std::shared_ptr<tls::CertificateProviderInterface> provider_of(const std::string& key_file, const std::string& cert_file,
                                                               const std::string& ca_file) {
  using Files = std::tuple<std::string, std::string, std::string>;
  static std::mutex mutex;
  static auto* const providers = [] {
    grpc_init();
    return new std::map<Files, std::shared_ptr<tls::CertificateProviderInterface>>();
  }();
  const std::lock_guard lock(mutex);
  auto& provider = (*providers)[Files(key_file, cert_file, ca_file)];
  if (!provider) {
    provider = std::make_shared<tls::FileWatcherCertificateProvider>(key_file, cert_file, ca_file, kLookAgainSeconds);
  }
  return provider;
}

/// The server's certificate must be the one of its role. gRPC has verified the chain by then.
class RoleVerifier final : public tls::ExternalCertificateVerifier {
 public:
  explicit RoleVerifier(std::string uri) : uri_(std::move(uri)) {}

  bool Verify(tls::TlsCustomVerificationCheckRequest* request, std::function<void(grpc::Status)>,
              grpc::Status* sync_status) override {
    *sync_status = grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "the peer's certificate is not that of " + uri_);
    for (const grpc::string_ref& uri : request->uri_names()) {
      if (std::string_view(uri.data(), uri.size()) == uri_) *sync_status = grpc::Status::OK;
    }
    return true;
  }
  void Cancel(tls::TlsCustomVerificationCheckRequest*) override {}

 private:
  const std::string uri_;
};

}  // namespace

std::string role_uri(std::string_view role) { return std::string(kRoleScheme) + std::string(role); }

Status check_rpc_tls(const RpcTlsOptions& options, std::string_view role, Wall now) {
  if (!options.is_on()) return {};
  if (options.ca_file.empty() || options.cert_file.empty() || options.key_file.empty()) {
    return fail(Code::kInvalidArgument, "bad_certificate",
                "rpc.tls_ca_file, rpc.tls_cert_file and rpc.tls_key_file are given together or not at all",
                options.ca_file.empty() ? "rpc.tls_ca_file" : "rpc.tls_cert_file");
  }
  TG_TRY(load_authorities(options.ca_file, "rpc.tls_ca_file", now));
  TG_ASSIGN(const CertificatePair pair, load_certificate_pair(options.cert_file, options.key_file, "rpc.tls_", now));
  const auto& uris = pair.facts.uris;
  if (std::find(uris.begin(), uris.end(), role_uri(role)) != uris.end()) return {};
  return fail(Code::kInvalidArgument, "bad_certificate",
              fmt::format("rpc.tls_cert_file: '{}' is for [{}], not for {}; give this process the certificate of its role",
                          options.cert_file, fmt::join(uris, ", "), role_uri(role)),
              "rpc.tls_cert_file");
}

std::shared_ptr<grpc::ChannelCredentials> channel_credentials(const std::string& address, const RpcTlsOptions& options,
                                                              std::string_view peer_role) {
  if (!options.is_on() || is_unix(address)) return grpc::InsecureChannelCredentials();
  tls::TlsChannelCredentialsOptions settings;
  settings.set_certificate_provider(provider_of(options.key_file, options.cert_file, options.ca_file));
  settings.watch_root_certs();
  settings.set_root_cert_name(kRootName);
  settings.watch_identity_key_cert_pairs();
  settings.set_identity_cert_name(kIdentityName);
  settings.set_verify_server_certs(true);
  settings.set_check_call_host(false);  // the role stands in for the host name
  settings.set_certificate_verifier(tls::ExternalCertificateVerifier::Create<RoleVerifier>(role_uri(peer_role)));
  return tls::TlsCredentials(settings);
}

std::shared_ptr<grpc::ChannelCredentials> public_channel_credentials(const std::string& address,
                                                                     const std::string& ca_file) {
  if (ca_file.empty() || is_unix(address)) return grpc::InsecureChannelCredentials();
  tls::TlsChannelCredentialsOptions settings;
  settings.set_certificate_provider(provider_of("", "", ca_file));
  settings.watch_root_certs();
  settings.set_root_cert_name(kRootName);
  settings.set_verify_server_certs(true);
  settings.set_certificate_verifier(std::make_shared<tls::HostNameCertificateVerifier>());
  return tls::TlsCredentials(settings);
}

std::shared_ptr<grpc::ServerCredentials> server_credentials(const std::string& address, const RpcTlsOptions& options) {
  if (!options.is_on() || is_unix(address)) return grpc::InsecureServerCredentials();
  tls::TlsServerCredentialsOptions settings(provider_of(options.key_file, options.cert_file, options.ca_file));
  settings.watch_root_certs();
  settings.set_root_cert_name(kRootName);
  settings.watch_identity_key_cert_pairs();
  settings.set_identity_cert_name(kIdentityName);
  settings.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  return tls::TlsServerCredentials(settings);
}

std::shared_ptr<grpc::ServerCredentials> public_server_credentials(const std::string& address,
                                                                   const std::string& cert_file,
                                                                   const std::string& key_file) {
  if (cert_file.empty() || is_unix(address)) return grpc::InsecureServerCredentials();
  tls::TlsServerCredentialsOptions settings(provider_of(key_file, cert_file, ""));
  settings.watch_identity_key_cert_pairs();
  settings.set_identity_cert_name(kIdentityName);
  settings.set_cert_request_type(GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
  return tls::TlsServerCredentials(settings);
}

Status check_caller_role(const grpc::ServerContextBase& context, const std::vector<std::string>& roles) {
  const auto caller = context.auth_context();
  if (!caller) return {};
  bool is_tls = false;
  for (const grpc::string_ref& type : caller->FindPropertyValues(GRPC_TRANSPORT_SECURITY_TYPE_PROPERTY_NAME)) {
    const std::string_view name(type.data(), type.size());
    is_tls = is_tls || name == GRPC_TLS_TRANSPORT_SECURITY_TYPE || name == GRPC_SSL_TRANSPORT_SECURITY_TYPE;
  }
  if (!is_tls) return {};
  for (const grpc::string_ref& uri : caller->FindPropertyValues(GRPC_PEER_URI_PROPERTY_NAME)) {
    const std::string_view text(uri.data(), uri.size());
    if (!text.starts_with(kRoleScheme)) continue;
    const std::string_view role = text.substr(kRoleScheme.size());
    if (std::find(roles.begin(), roles.end(), role) != roles.end()) return {};
  }
  return fail(Code::kPermissionDenied, "wrong_role",
              fmt::format("this service is for the roles {}; the caller's certificate names none of them",
                          fmt::join(roles, ", ")));
}

}  // namespace tidegate::rpc
