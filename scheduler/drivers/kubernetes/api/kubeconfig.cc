#include "scheduler/drivers/kubernetes/api/kubeconfig.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>

#include "base/core/encoding.h"
#include "scheduler/drivers/kubernetes/api/yaml_subset.h"
#include "scheduler/drivers/kubernetes/objects/json_members.h"

namespace tidegate::scheduler::kube {

namespace {

std::unexpected<Error> bad_kubeconfig(const std::string& why) {
  return fail(Code::kInvalidArgument, "bad_kubeconfig", "kubernetes.kubeconfig: " + why, "kubernetes.kubeconfig");
}

bool is_set(const json::object& from, std::string_view key) {
  const json::value* found = from.if_contains(key);
  if (found == nullptr || found->is_null()) return false;
  return !found->is_string() || (found->get_string() != "false" && !found->get_string().empty());
}

/// The member `inner` of the entry called `name` in the list `list`.
Result<const json::object*> entry(const json::object& root, std::string_view list, std::string_view name,
                                  std::string_view inner) {
  const json::value* all = root.if_contains(list);
  if (all != nullptr && all->is_array()) {
    for (const json::value& one : all->get_array()) {
      if (!one.is_object() || text_in(one.get_object(), "name") != name) continue;
      const json::value* body = one.get_object().if_contains(inner);
      if (body != nullptr && body->is_object()) return &body->get_object();
    }
  }
  return bad_kubeconfig(fmt::format("{} has no '{}'", list, name));
}

Result<std::string> decode(const std::string& data, std::string_view key) {
  std::string plain = data;
  std::replace(plain.begin(), plain.end(), '+', '-');
  std::replace(plain.begin(), plain.end(), '/', '_');
  while (!plain.empty() && plain.back() == '=') plain.pop_back();
  auto decoded = base64url_decode(plain);
  if (!decoded) return bad_kubeconfig(fmt::format("{} is not base64", key));
  return *std::move(decoded);
}

Result<PemSource> pem(const json::object& from, const std::string& key) {
  PemSource source;
  const std::string data = text_in(from, key + "-data");
  if (data.empty()) {
    source.file = text_in(from, key);
    return source;
  }
  TG_ASSIGN(source.inline_pem, decode(data, key + "-data"));
  return source;
}

Status refuse(const json::object& from, std::initializer_list<const char*> keys, std::string_view instead) {
  for (const char* key : keys) {
    if (is_set(from, key)) return bad_kubeconfig(fmt::format("'{}' is not supported: {}", key, instead));
  }
  return {};
}

}  // namespace

Result<Kubeconfig> parse_kubeconfig(std::string_view file_text, std::string_view context) {
  TG_ASSIGN(const json::value document, parse_yaml_subset(file_text));
  if (!document.is_object()) return bad_kubeconfig("it is no mapping");
  const json::object& root = document.get_object();
  const std::string chosen = context.empty() ? text_in(root, "current-context") : std::string(context);
  if (chosen.empty()) return bad_kubeconfig("it has no current-context: set kubernetes.context");
  TG_ASSIGN(const json::object* links, entry(root, "contexts", chosen, "context"));
  TG_ASSIGN(const json::object* cluster, entry(root, "clusters", text_in(*links, "cluster"), "cluster"));
  TG_ASSIGN(const json::object* user, entry(root, "users", text_in(*links, "user"), "user"));
  TG_TRY(refuse(*cluster, {"insecure-skip-tls-verify"}, "give certificate-authority or certificate-authority-data"));
  TG_TRY(refuse(*cluster, {"proxy-url"}, "let the scheduler reach the API server directly"));
  TG_TRY(refuse(*user, {"exec", "auth-provider"},
                "no program is run to log in; use a service account's token (tokenFile) or a client certificate"));
  TG_TRY(refuse(*user, {"username", "password"}, "use a token or a client certificate"));
  TG_TRY(refuse(*user, {"as", "as-uid", "as-groups", "as-user-extra"}, "give the scheduler an identity of its own"));
  Kubeconfig out;
  out.server = text_in(*cluster, "server");
  if (out.server.empty()) return bad_kubeconfig("the cluster has no server");
  out.server_name = text_in(*cluster, "tls-server-name");
  TG_ASSIGN(out.authorities, pem(*cluster, "certificate-authority"));
  TG_ASSIGN(out.certificate, pem(*user, "client-certificate"));
  TG_ASSIGN(out.key, pem(*user, "client-key"));
  out.token = text_in(*user, "token");
  out.token_file = text_in(*user, "tokenFile");
  if (out.certificate.is_given() != out.key.is_given())
    return bad_kubeconfig("client-certificate and client-key go together");
  return out;
}

}  // namespace tidegate::scheduler::kube
