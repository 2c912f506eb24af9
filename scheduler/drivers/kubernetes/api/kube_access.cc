#include "scheduler/drivers/kubernetes/api/kube_access.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>

#include "scheduler/drivers/kubernetes/api/kubeconfig.h"

namespace tidegate::scheduler::kube {

namespace {

constexpr std::uintmax_t kFileMax = 1 << 20;

std::unexpected<Error> bad_access(const std::string& option, const std::string& why) {
  return fail(Code::kInvalidArgument, "bad_config", fmt::format("{}: {}", option, why), option);
}

Result<std::string> read_text(const std::string& path, const std::string& option) {
  std::error_code code;
  const auto size = std::filesystem::file_size(path, code);
  if (!code && size > kFileMax) return bad_access(option, fmt::format("'{}' is longer than 1 MiB", path));
  std::ifstream in(path, std::ios::binary);
  std::ostringstream all;
  all << in.rdbuf();
  if (!in || all.str().empty()) return bad_access(option, fmt::format("cannot read '{}', or it is empty", path));
  return all.str();
}

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
  return text;
}

bool is_loopback(std::string_view host) { return host == "localhost" || host == "::1" || host.starts_with("127."); }

Status read_server(const std::string& server, const std::string& option, KubeAccess& access) {
  constexpr std::string_view kTls = "https://";
  constexpr std::string_view kPlain = "http://";
  std::string_view rest = server;
  access.is_tls = rest.starts_with(kTls);
  if (!access.is_tls && !rest.starts_with(kPlain))
    return bad_access(option, fmt::format("'{}' is no URL such as https://10.0.0.1:6443", server));
  rest.remove_prefix(access.is_tls ? kTls.size() : kPlain.size());
  const auto slash = std::min(rest.find('/'), rest.size());
  access.prefix = rest.substr(slash);
  while (access.prefix.ends_with('/')) access.prefix.pop_back();
  const std::string_view authority = rest.substr(0, slash);
  const auto colon = authority.rfind(':');
  const bool has_port = colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos;
  access.host = authority.substr(0, has_port ? colon : authority.size());
  access.port = has_port ? std::string(authority.substr(colon + 1)) : access.is_tls ? "443" : "80";
  if (access.host.size() > 2 && access.host.front() == '[' && access.host.back() == ']') {
    access.host = access.host.substr(1, access.host.size() - 2);
  }
  if (access.host.empty() || access.port.empty() || access.host.find('@') != std::string::npos) {
    return bad_access(option, fmt::format("'{}' has no host, or more than one is read", server));
  }
  if (!access.is_tls && !is_loopback(access.host)) {
    return bad_access(option, "plain http:// is for a loopback address only; use https://");
  }
  return {};
}

Result<std::string> read_pem(const PemSource& source, const std::filesystem::path& folder) {
  if (!source.inline_pem.empty() || source.file.empty()) return source.inline_pem;
  return read_text((folder / source.file).string(), "kubernetes.kubeconfig");
}

Result<KubeAccess> load_kubeconfig(const AccessOptions& options) {
  TG_ASSIGN(const std::string text, read_text(options.kubeconfig, "kubernetes.kubeconfig"));
  TG_ASSIGN(const Kubeconfig config, parse_kubeconfig(text, options.context));
  const auto folder = std::filesystem::path(options.kubeconfig).parent_path();  // paths in it begin there
  KubeAccess access;
  TG_TRY(read_server(config.server, "kubernetes.kubeconfig", access));
  access.server_name = config.server_name;
  TG_ASSIGN(access.authorities_pem, read_pem(config.authorities, folder));
  TG_ASSIGN(access.chain_pem, read_pem(config.certificate, folder));
  TG_ASSIGN(access.key_pem, read_pem(config.key, folder));
  access.token = config.token;
  if (!config.token_file.empty()) {
    TG_ASSIGN(const std::string token, read_text((folder / config.token_file).string(), "kubernetes.kubeconfig"));
    access.token = trimmed(token);
  }
  return access;
}

Result<KubeAccess> load_in_cluster(const AccessOptions& options) {
  KubeAccess access;
  TG_TRY(read_server(options.api_server, "kubernetes.api_server", access));
  TG_ASSIGN(access.authorities_pem, read_text(options.ca_file, "kubernetes.ca_file"));
  TG_ASSIGN(const std::string token, read_text(options.token_file, "kubernetes.token_file"));
  access.token = trimmed(token);
  return access;
}

}  // namespace

Result<KubeAccess> load_access(const AccessOptions& options) {
  auto access = options.kubeconfig.empty() ? load_in_cluster(options) : load_kubeconfig(options);
  if (!access) return access;
  const std::string option = options.kubeconfig.empty() ? "kubernetes.ca_file" : "kubernetes.kubeconfig";
  if (access->is_tls && access->authorities_pem.empty()) {
    return bad_access(option, "certificate-authority is missing: without it anybody could be the API server");
  }
  if (!access->is_tls && !access->token.empty()) return bad_access(option, "a token is not sent over plain http://");
  if (access->token.find_first_of("\r\n") != std::string::npos)
    return bad_access(option, "the token has more than one line");
  return access;
}

}  // namespace tidegate::scheduler::kube
