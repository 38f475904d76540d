//! `[root]`: what stands at `/`, and what an image brings along.

use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use toml::Spanned;
use view::Access;

use super::{Checker, shorten};
use crate::Images;
use crate::checked::{Env, Image, Mount, What};
use crate::raw::{RawMount, RawRoot};

/// The kernel's own directories, which no image has.
const KERNELS: [&str; 3] = ["/proc", "/dev", "/sys"];

/// What `[root]` says, as the mount that it stands for.
pub fn mount(root: &Spanned<RawRoot>, image: Option<&Image>) -> Spanned<RawMount> {
    let (span, RawRoot { image: name, layers, write }) = (root.span(), root.get_ref());
    let of_image = image.map(|image| {
        // A dollar sign in a path of the store's is none that is to be expanded.
        let path = |layer: &PathBuf| layer.to_string_lossy().replace('$', "$$");
        let at = name.as_ref().map_or(span.clone(), Spanned::span);
        let layers = image.layers.iter().map(|layer| Spanned::new(at.clone(), path(layer))).collect();
        Spanned::new(at.clone(), layers)
    });
    let layers = if name.is_some() { of_image } else { layers.clone() };
    let mount = RawMount {
        at: Some(Spanned::new(span.clone(), "/".into())),
        source: None,
        // What is missing or has been taken out has been told of.
        damaged: layers.is_none(),
        layers,
        write: write.clone(),
        access: None,
        kind: None,
        content: None,
        mode: None,
        optional: false,
    };
    Spanned::new(span, mount)
}

/// Puts an image's variables under those of the policy.
pub fn under(env: &mut Env, image: &Image) {
    for variable in &image.env {
        let Some((name, value)) = variable.split_once('=') else { continue };
        let is_wrong = name.is_empty() || variable.contains('\0');
        if !is_wrong && !env.unset.iter().any(|unset| unset == name) {
            env.set.entry(name.into()).or_insert_with(|| value.into());
        }
    }
}

impl Checker<'_> {
    /// The image that `[root]` names, and its name.
    pub fn image(&mut self, root: &RawRoot, images: Images<'_>) -> Option<(String, Image)> {
        let said = root.image.as_ref()?;
        if let Some(layers) = &root.layers {
            let help = "an image brings its own layers: take one of them away";
            let expected = "`layers` besides `image`";
            self.report.add(layers.span(), "a root with `image` and `layers`", expected, Some(help.into()));
        }
        let name = self.expanded(said)?;
        // Another image may have the name at the next start.
        self.host.note_unsettled();
        match images(&name) {
            Ok(image) => Some((name, image)),
            Err(reason) => {
                let message = format!("the image {:?} cannot be had: {reason}", shorten(&name));
                let help = "`launcher image import SOURCE --name NAME` brings one in";
                self.report.add(said.span(), message, "the name of an image", Some(help.into()));
                None
            }
        }
    }

    /// Who the application runs as, in one of the forms of an image's `User`.
    pub fn user(&mut self, said: Option<&Spanned<String>>) -> Option<String> {
        let said = said?;
        let user = self.expanded(said)?;
        if user.contains(['\0', '\n']) || user.matches(':').count() > 1 || user.starts_with(':') {
            let expected = "USER, UID, USER:GROUP, UID:GID, UID:GROUP, USER:GID, or nothing";
            self.report.add(said.span(), format!("`user` cannot be {:?}", shorten(&user)), expected, None);
            return None;
        }
        Some(user)
    }

    /// Gives the instance a volume of its own where the image wants one, and the policy says
    /// nothing.
    pub fn volumes_of_image(&mut self, image: &Image, span: Range<usize>, mounts: &mut Vec<Mount>) {
        let line = self.report.line(span.start);
        for said in &image.volumes {
            let at: PathBuf = Path::new(said).components().collect();
            let is_plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
            let fits = at.is_absolute() && at != Path::new("/") && at.components().all(is_plain);
            if !fits
                || said.contains('\0')
                || said.len() >= 4096
                || said.split('/').any(|name| name.len() > 255)
            {
                let message = format!("the image wants a volume at {:?}", shorten(said));
                let help = "import an image whose configuration is right";
                self.report.add(
                    span.clone(),
                    message,
                    "an absolute path below `/`, without `..`",
                    Some(help.into()),
                );
            } else if mounts.iter().all(|mount| mount.at != at) {
                let what = What::Volume { name: None };
                mounts.push(Mount { at, line, span: span.clone(), access: Access::ReadWrite, what });
            }
        }
    }

    /// The signal by which the application is stopped.
    pub fn stop_signal(&mut self, said: &Spanned<String>) -> Option<String> {
        let name = self.expanded(said)?;
        if crate::signal(&name).is_none() {
            let message = format!("`stop_signal` cannot be {:?}", shorten(&name));
            self.report.add(
                said.span(),
                message,
                "a signal, such as \"SIGQUIT\", \"RTMIN+3\" or \"15\"",
                None,
            );
            return None;
        }
        Some(name)
    }

    /// Mounts the kernel's directories, where the policy mounts nothing else there.
    pub fn kernel_directories(&mut self, span: Range<usize>, mounts: &mut Vec<Mount>) {
        let line = self.report.line(span.start);
        for at in KERNELS {
            let free = mounts.iter().all(|mount| mount.at != Path::new(at));
            if let (true, Ok(source)) = (free, self.host.canonicalize(Path::new(at))) {
                let what = What::Host { source, is_dir: true };
                mounts.push(Mount {
                    at: at.into(),
                    line,
                    span: span.clone(),
                    access: Access::ReadWrite,
                    what,
                });
            }
        }
    }
}
