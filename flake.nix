# `nix develop`: what CONTRIBUTING.md asks for. The tests bring their own PostgreSQL; Redis and a browser come from here.
{
  description = "Carrel: a self-hosted research archive";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.11";

  outputs = { self, nixpkgs }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" ];
      # The Rust of everybody else; rustup fetches it.
      rust = (builtins.fromTOML (builtins.readFile ./Cargo.toml)).workspace.package.rust-version;
      each = make: nixpkgs.lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});
    in {
      devShells = each (pkgs: {
        default = pkgs.mkShell {
          packages = with pkgs; [
            rustup gcc cmake pkg-config
            python3 nodejs_22 go-task cargo-nextest cargo-deny
            (postgresql_17.withPackages (extensions: [ extensions.pgvector ]))
            redis chromium poppler-utils tesseract prometheus shellcheck
          ];
          RUSTUP_TOOLCHAIN = rust;
        };
      });
    };
}
