// `tidegate certs mint`: an authority and a certificate for each role of a small installation.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/crypto/certificate_authority.h"
#include "base/crypto/sha256.h"
#include "cli/commands.h"
#include "cli/text_file.h"

namespace tidegate::cli {

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kDaysDefault = 90;
constexpr std::int64_t kDaysMax = 825;  // what browsers accept of a private authority
constexpr std::chrono::hours kAuthorityLife{24 * 3650};
constexpr const char* kCertRoles[] = {"gateway", "billing", "scheduler", "worker", "cli"};

/// Whole or not at all, readable by the owner only, also when an older file was not.
Status write_private(const fs::path& path, const std::string& text) {
  const std::string fresh = path.string() + ".new";
  const auto failed = [&path] {
    return fail(Code::kInternal, "file_unwritable", fmt::format("cannot write '{}': {}", path.string(), std::strerror(errno)));
  };
  ::unlink(fresh.c_str());
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return failed();
  const bool is_written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
  ::close(fd);
  if (!is_written || ::rename(fresh.c_str(), path.c_str()) != 0) return failed();
  return {};
}

std::vector<std::string> split_names(const std::string& list) {
  std::vector<std::string> names;
  for (std::size_t begin = 0; begin < list.size();) {
    const auto comma = std::min(list.size(), list.find(',', begin));
    if (comma > begin) names.push_back(list.substr(begin, comma - begin));
    begin = comma + 1;
  }
  return names;
}

bool is_address(const std::string& name) {
  return name.find(':') != std::string::npos || name.find_first_not_of("0123456789.") == std::string::npos;
}

/// The folder's authority, made when there is none: with the old one certificates are renewed and nobody has to learn
/// of a new root.
Result<CertificateAuthority> open_authority(const fs::path& folder, EntropySource& entropy, Wall now) {
  const fs::path cert = folder / "ca.crt";
  const fs::path key = folder / "ca.key";
  if (fs::exists(cert) || fs::exists(key)) {
    MintedCertificate pem;
    TG_ASSIGN(pem.certificate_pem, read_text(cert.string()));
    TG_ASSIGN(pem.key_pem, read_text(key.string()));
    return CertificateAuthority::from_pem(pem);
  }
  TG_ASSIGN(auto authority, CertificateAuthority::mint("Tidegate installation CA", kAuthorityLife, entropy, now));
  TG_TRY(write_private(key, authority.pem().key_pem));
  TG_TRY(write_private(cert, authority.pem().certificate_pem));
  return authority;
}

/// A key that is there already stays: then the certificate alone is replaced, in one step.
Status issue(const CertificateAuthority& authority, const fs::path& folder, const std::string& name,
             const CertificateOrder& order, bool wants_new_key, EntropySource& entropy, Wall now) {
  const fs::path cert = folder / (name + ".crt");
  const fs::path key = folder / (name + ".key");
  std::string old_key;
  if (!wants_new_key && fs::exists(key)) {
    TG_ASSIGN(old_key, read_text(key.string()));
  }
  TG_ASSIGN(const MintedCertificate minted, authority.issue(order, old_key, entropy, now));
  if (old_key.empty()) TG_TRY(write_private(key, minted.key_pem));
  return write_private(cert, minted.certificate_pem);
}

Status certs_mint(const Arguments& arguments) {
  TG_ASSIGN(const std::string dir, arguments.required_option("dir"));
  TG_ASSIGN(const std::int64_t days, arguments.integer_option("days", kDaysDefault));
  if (days < 1 || days > kDaysMax) {
    return fail(Code::kInvalidArgument, "bad_usage", fmt::format("--days is 1 to {}", kDaysMax), "days");
  }
  const fs::path folder(dir);
  std::error_code code;
  fs::create_directories(folder, code);
  if (code) return fail(Code::kInternal, "file_unwritable", fmt::format("cannot make '{}': {}", dir, code.message()));
  if (::chmod(folder.c_str(), 0700) != 0) {
    return fail(Code::kInternal, "file_unwritable", fmt::format("cannot close '{}' to others: {}", dir, std::strerror(errno)));
  }

  const Wall now = SystemClock().wall();
  SystemEntropy entropy;
  TG_ASSIGN(const auto authority, open_authority(folder, entropy, now));
  CertificateOrder order;
  order.life = std::chrono::hours(24 * days);
  for (const char* role : kCertRoles) {
    order.common_name = fmt::format("tidegate {}", role);
    order.uris = {fmt::format("tidegate://{}", role)};
    TG_TRY(issue(authority, folder, role, order, arguments.has("new-keys"), entropy, now));
  }
  order.common_name = "tidegate public";
  order.uris.clear();
  order.dns_names = {"localhost"};
  order.addresses = {"127.0.0.1", "::1"};
  for (std::string& name : split_names(arguments.option("hosts"))) {
    (is_address(name) ? order.addresses : order.dns_names).push_back(std::move(name));
  }
  TG_TRY(issue(authority, folder, "public", order, arguments.has("new-keys"), entropy, now));
  if (arguments.wants_json()) {
    std::string line = "{\"dir\":";
    append_json_string(line, dir);
    fmt::print("{},\"expires\":\"{}\"}}\n", line, format_rfc3339(now + order.life));
  } else {
    fmt::print("{}: ca, gateway, billing, scheduler, worker, cli, public; valid until {}\n", dir,
               format_rfc3339(now + order.life));
    fmt::print(stderr, "keep ca.key away from the machines that serve; give each process its own pair and ca.crt\n");
  }
  return {};
}

}  // namespace

std::vector<Command> certificate_commands() {
  return {
      {"certs mint",
       "Make, or renew, the certificates of a small installation: an authority, one per role, one for the public ports.",
       "--dir DIR [--hosts NAME,...] [--days N] [--new-keys]",
       "  tidegate certs mint --dir secrets/tls --hosts api.example.org\n"
       "  tidegate certs mint --dir secrets/tls    # again before they expire: same authority, same keys\n",
       {"dir", "hosts", "days"},
       {"new-keys"},
       certs_mint},
  };
}

}  // namespace tidegate::cli
