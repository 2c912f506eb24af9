#include "tests/support/kube/real_api_server.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>

#include <boost/asio/io_context.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "base/core/metrics.h"
#include "scheduler/drivers/kubernetes/api/kube_api.h"
#include "scheduler/drivers/local/child_process.h"
#include "tests/support/eventually.h"
#include "tests/support/log_capture.h"
#include "tests/support/run_coro.h"

namespace tidegate::test {

using scheduler::kube::KubeAnswer;
using scheduler::kube::KubeApi;
using scheduler::kube::KubeCall;
using scheduler::kube::KubeMetrics;
using scheduler::kube::Verb;

namespace {

constexpr const char* kToken = "test-token-of-an-api-server-that-lives-for-one-test";

/// LeaderWorkerSet as far as an API server without its controller needs to know it.
constexpr const char* kGroups = R"({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
  "metadata": {"name": "leaderworkersets.leaderworkerset.x-k8s.io"},
  "spec": {"group": "leaderworkerset.x-k8s.io", "scope": "Namespaced",
    "names": {"plural": "leaderworkersets", "singular": "leaderworkerset", "kind": "LeaderWorkerSet", "listKind": "LeaderWorkerSetList"},
    "versions": [{"name": "v1", "served": true, "storage": true,
      "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}})";

std::string from_environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

std::uint16_t free_port() {
  const auto port = scheduler::free_loopback_port();
  if (!port) throw std::runtime_error(port.error().to_string());
  return *port;
}

KubeAnswer ask(const scheduler::kube::AccessOptions& access, KubeCall call) {
  SystemClock clock;
  LogCapture log;
  MemoryRegistry registry;
  KubeMetrics metrics(registry);
  auto api = KubeApi::open(access, KubeApi::Settings(), clock, log, metrics);
  if (!api) throw std::runtime_error(api.error().to_string());
  asio::io_context context(1);
  KubeAnswer answer = run_coro(context, (*api)->call(std::move(call)));
  api->reset();  // its connections live on the context
  return answer;
}

}  // namespace

bool RealApiServer::is_given() { return !from_environment("TIDEGATE_KUBE_APISERVER").empty(); }

RealApiServer& RealApiServer::instance() {
  static RealApiServer server;
  return server;
}

RealApiServer::RealApiServer() {
  const std::string program = from_environment("TIDEGATE_KUBE_APISERVER");
  std::string etcd = from_environment("TIDEGATE_KUBE_ETCD");
  if (etcd.empty()) etcd = (std::filesystem::path(program).parent_path() / "etcd").string();
  start_etcd(etcd);
  start_server(program);
  wait_until_ready();
  post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", kGroups);
}

RealApiServer::~RealApiServer() {
  for (auto pid = pids_.rbegin(); pid != pids_.rend(); ++pid) {
    ::kill(static_cast<pid_t>(*pid), SIGKILL);
    ::waitpid(static_cast<pid_t>(*pid), nullptr, 0);
  }
}

std::int64_t RealApiServer::spawn(const std::vector<std::string>& command, const std::string& log) {
  const auto pid = scheduler::spawn_detached(command, folder_.file(log));
  if (!pid) throw std::runtime_error(pid.error().to_string());
  pids_.push_back(*pid);
  return *pid;
}

void RealApiServer::start_etcd(const std::string& program) {
  etcd_port_ = free_port();
  const std::string clients = fmt::format("http://127.0.0.1:{}", etcd_port_);
  const std::string peers = fmt::format("http://127.0.0.1:{}", free_port());
  spawn({program, "--name=default", "--data-dir=" + folder_.file("etcd"), "--listen-client-urls=" + clients,
         "--advertise-client-urls=" + clients, "--listen-peer-urls=" + peers, "--initial-advertise-peer-urls=" + peers,
         "--initial-cluster=default=" + peers, "--unsafe-no-fsync"},
        "etcd.log");
}

void RealApiServer::start_server(const std::string& program) {
  certificates_.issue("server");
  certificates_.issue("accounts");
  std::ofstream(folder_.file("tokens.csv")) << kToken << ",test,test,\"system:masters\"\n";
  std::ofstream(folder_.file("token")) << kToken;
  const std::uint16_t port = free_port();
  spawn(
      {program, fmt::format("--etcd-servers=http://127.0.0.1:{}", etcd_port_), "--bind-address=127.0.0.1",
       "--advertise-address=127.0.0.1", fmt::format("--secure-port={}", port), "--cert-dir=" + folder_.file("certs"),
       "--tls-cert-file=" + certificates_.cert_file("server"),
       "--tls-private-key-file=" + certificates_.key_file("server"), "--token-auth-file=" + folder_.file("tokens.csv"),
       "--authorization-mode=AlwaysAllow", "--service-account-issuer=https://kubernetes.default.svc",
       "--service-account-key-file=" + certificates_.key_file("accounts"),
       "--service-account-signing-key-file=" + certificates_.key_file("accounts"),
       "--disable-admission-plugins=ServiceAccount", "--service-cluster-ip-range=10.0.0.0/24"},
      "apiserver.log");
  access_.api_server = fmt::format("https://127.0.0.1:{}", port);
  access_.token_file = folder_.file("token");
  access_.ca_file = certificates_.ca_file();
}

void RealApiServer::wait_until_ready() {
  const auto is_ready = [this] {
    KubeCall call;
    call.path = "/api/v1/namespaces/default";
    return ask(access_, std::move(call)).has_value();
  };
  if (eventually(is_ready, std::chrono::seconds(60))) return;
  std::ifstream in(folder_.file("apiserver.log"));
  std::string last, line;
  while (std::getline(in, line)) last = line;
  throw std::runtime_error("the API server does not become ready: " + last);
}

void RealApiServer::post(const std::string& path, const std::string& body) {
  KubeCall call;
  call.verb = Verb::kCreate;
  call.path = path;
  call.body = *json::parse(body);
  const KubeAnswer answer = ask(access_, std::move(call));
  if (!answer) throw std::runtime_error(answer.error().message);
}

void RealApiServer::dry_run(const std::string& collection_path, const std::string& body) {
  post(collection_path + "?dryRun=All&fieldValidation=Strict", body);
}

std::string RealApiServer::fresh_namespace() {
  const std::string name = fmt::format("tg-{}", ++namespaces_);
  post("/api/v1/namespaces", R"({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ")" + name + "\"}}");
  return name;
}

}  // namespace tidegate::test
