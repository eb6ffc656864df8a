#!/usr/bin/env bash
# What a Vulkan build of llama.cpp and its software device need on Debian 12, for `make test-vulkan`.
# Installs Mesa's drivers and the shader compiler, unpacks the headers of Debian 13 beside (llama.cpp
# needs newer ones than Debian 12 has), and prints the CMAKE_ARGS of the build: nothing else of Debian
# 13 comes onto the machine. Progress goes to standard error.
set -euo pipefail

NEWER=trixie
WANTED=(libvulkan-dev spirv-headers)
cache="${GATEWAY_WHEEL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sovereign-gateway/wheels}"
headers="$cache/vulkan-headers"

lacking=()
for package in mesa-vulkan-drivers glslc libvulkan1; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || lacking+=("$package")
done
if [ "${#lacking[@]}" -gt 0 ]; then
  export DEBIAN_FRONTEND=noninteractive
  as_root=()
  [ "$(id -u)" = 0 ] || as_root=(sudo --preserve-env=DEBIAN_FRONTEND)
  echo "installing ${lacking[*]}" >&2
  "${as_root[@]}" apt-get update -qq >&2
  "${as_root[@]}" apt-get install -qq -y --no-install-recommends "${lacking[@]}" >&2
fi

if [ ! -e "$headers/whole" ]; then
  echo "unpacking ${WANTED[*]} of Debian $NEWER into $headers" >&2
  # apt with lists and a cache of its own: the machine's sources stay as they are. The mirror is
  # theirs, and so are the keys, so that what comes is as signed as any package.
  here="$(. /etc/os-release && echo "$VERSION_CODENAME")"
  mirror="$(apt-get indextargets --format '$(REPO_URI)' "Codename: $here" 'Created-By: Packages' \
    | head -n 1)"
  own="$(mktemp -d)"
  trap 'rm -rf "$own"' EXIT
  mkdir -p "$own/lists/partial" "$own/archives/partial" "$own/debs"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $NEWER main" \
    > "$own/sources.list"
  options=(
    -o "Dir::Etc::SourceList=$own/sources.list" -o "Dir::Etc::SourceParts=/dev/null"
    -o "Dir::State::Lists=$own/lists" -o "Dir::Cache=$own" -o "APT::Sandbox::User=$(id -un)"
  )
  apt-get "${options[@]}" update -qq >&2
  (cd "$own/debs" && apt-get "${options[@]}" download -qq "${WANTED[@]}" >&2)
  rm -rf "$headers"
  mkdir -p "$headers"
  for package in "$own"/debs/*.deb; do
    dpkg-deb --extract "$package" "$headers"
  done
  touch "$headers/whole"
fi

library="$(ldconfig -p | awk '/libvulkan\.so\.1 / {print $NF; exit}')"
echo "-DGGML_VULKAN=ON -DVulkan_INCLUDE_DIR=$headers/usr/include -DVulkan_LIBRARY=$library" \
  "-DSPIRV-Headers_DIR=$headers/usr/share/cmake/SPIRV-Headers"
